"""The database behind the cluster: connecting to it, its users, and the checks that prove the restore."""
