"""What differs by database engine sits behind one adapter; Aurora's is the only one so far."""
