"""What a request costs in Envoy with this filter, beside Envoy's own jwt_authn and no filter.

Every figure that matters is a ratio of two Envoys that were loaded in turn within one run:
`python -m bench` from `tests/`.
"""
