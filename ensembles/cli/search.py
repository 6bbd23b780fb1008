"""`emofuse search`: the commands of the search, and the live page, which shows ensembles too."""

from ensembles.cli.dashboard import dashboard
from search.cli.app import search_app

__all__ = ["search_app"]

search_app.command()(dashboard)
