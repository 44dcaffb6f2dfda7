"""Many calls as one: concurrent, in order, and able to go on after a kill without paying twice."""
