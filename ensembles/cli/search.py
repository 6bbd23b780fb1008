"""`emofuse search`: the commands of the search, and the live page, which shows ensembles too."""

from ensembles.cli.dashboard import dashboard
from features.terminal import order
from search.cli.app import search_app

__all__ = ["search_app"]

search_app.command()(dashboard)
order(search_app, "families", "doctor", "run", "status", "dashboard", "retry", "submit")
