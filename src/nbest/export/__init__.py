"""A recorded run in other tools' formats: read from records, no model and no network but a tracker's own."""
