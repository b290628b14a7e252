"""HTTP/1.1 as it passes: which requests there are, and rules for what becomes of them."""

from gameday.proxy.conversation.rules import Action, Rule, RuleBook
from gameday.proxy.conversation.stages import Conversation

__all__ = ["Action", "Conversation", "Rule", "RuleBook"]
