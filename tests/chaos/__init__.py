"""Boxes among people, services, networks and devices at random, in paper time. ``make chaos`` runs it for long."""
