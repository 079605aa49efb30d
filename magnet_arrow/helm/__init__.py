"""What HELM wrote: where its files lie, and what they hold."""
