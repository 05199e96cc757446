"""Readers: what files hold, as they hold it, before anybody has decided what it means."""
