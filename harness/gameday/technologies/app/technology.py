"""Services of a target's own: Python programs that speak HTTP."""

from gameday.api.technology import Technology
from gameday.technologies.app.publish import Publish
from gameday.technologies.app.service import App

__all__ = ["APP"]

APP = Technology(name="app", kinds=(App(),), workloads=(Publish,))
