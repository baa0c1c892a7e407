"""What each Nacos call does. The only room that decides."""
