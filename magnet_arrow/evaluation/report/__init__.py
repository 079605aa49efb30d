"""An evaluation -> its report: the frames of what was found, charts of them, and the page that shows both."""
