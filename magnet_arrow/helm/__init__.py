"""HELM's dumps. In: paths. Out: where runs are, and the declared types of their files."""
