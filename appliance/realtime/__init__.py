"""The service's protocol as pure logic: events, their JSON form, and what may be sent when."""
