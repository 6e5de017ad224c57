"""The application: compares losses on a data set, from the command line (`mllosses`)."""
