"""What OpsConnect does, without a word about how: no technology is named in here."""
