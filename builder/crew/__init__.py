"""Who does the tasks of a build: this process, or Dask workers on this machine or on others.

`port` says what a crew is, and has the one that is a single process; `choice` says which crew a build gets; `workers`
and `reaching` are the only modules that know Dask. What the tasks are is the business of those who hand them out: one
is a function of this package and a frozen value, and gives the same result wherever it is done.
"""
