"""The only code that speaks to Canvas.

Three layers: ``transport`` (deadlines, retries, throttle, paging), ``authenticated`` (tokens, one refresh for many
callers) and ``client`` (courses, assignments). ``oauth`` is the grant itself; ``factory`` wires them
for an integration.
"""
