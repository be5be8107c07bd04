"""What a backbone pass is, where methods are compared by it."""

#: Row passes that a Hessian product counts for: what it costs against a row's forward and backward in the
#: same, plain decoder (measured: `metapt bench`, see docs/benchmarks.md).
SECOND_ORDER_COST = 2.0
