import pytest
from resilience.policy import BadSetting, ReconnectPolicy

SECOND = 1_000_000_000


def test_without_variables_the_policy_is_the_documented_one() -> None:
    policy = ReconnectPolicy.from_env({})
    assert policy.max_failures == 10
    assert policy.cooldown_ns == 60 * SECOND
    assert (policy.backoff.base_ns, policy.backoff.cap_ns) == (SECOND, 60 * SECOND)
    assert policy.backoff.jitter == 0.1


def test_every_variable_is_heeded() -> None:
    policy = ReconnectPolicy.from_env(
        {
            "REDIS_RECONNECT_MAX_FAILURES": "3",
            "REDIS_RECONNECT_BASE_DELAY_MS": "50",
            "REDIS_RECONNECT_MAX_DELAY_MS": "400",
            "REDIS_RECONNECT_JITTER_PCT": "0",
        }
    )
    assert policy.max_failures == 3
    assert (policy.backoff.base_ns, policy.backoff.cap_ns) == (50_000_000, 400_000_000)
    assert policy.backoff.jitter == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_FAILURES", "0"),
        ("MAX_FAILURES", "ten"),
        ("BASE_DELAY_MS", "1.5"),
        ("MAX_DELAY_MS", ""),
        ("MAX_DELAY_MS", "999"),
        ("JITTER_PCT", "1"),
        ("JITTER_PCT", "nan"),
    ],
)
def test_a_bad_value_is_named_with_what_was_seen(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"REDIS_RECONNECT_{name} is '?{value}") as caught:
        ReconnectPolicy.from_env({f"REDIS_RECONNECT_{name}": value})
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(BadSetting, match=r"MAX_FAILURES.*; .*JITTER_PCT"):
        ReconnectPolicy.from_env(
            {"REDIS_RECONNECT_MAX_FAILURES": "-1", "REDIS_RECONNECT_JITTER_PCT": "10%"}
        )
