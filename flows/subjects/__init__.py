"""The conversations of each subject, one file a subject, of the same name as in states and app."""
