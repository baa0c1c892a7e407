"""What each native call does: decides, calls the core, says which code the protocol answers with. No transport here."""
