"""The kiosk's screen: a page that shows this machine what its box is doing, served by a process of its own."""
