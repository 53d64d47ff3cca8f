"""The only code that calls Canvas.

It has three layers: ``transport`` (deadlines, retries, throttling, paging), ``authenticated`` (tokens, one refresh for
many callers) and ``client`` (courses, assignments). ``oauth`` handles the grant, ``factory`` builds the layers for an
integration.
"""
