"""The conversation as pure logic: time is an argument, effects are values."""
