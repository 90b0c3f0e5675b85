"""The embedded service: a loopback stand-in for the voice service, for the demo, for installers and for the tests."""
