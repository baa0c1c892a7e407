"""What access control needs of a process: hashing in threads, encryption, time, the first administrator."""
