"""What a backbone pass is, where methods are compared by it."""

#: Row passes that a Hessian product counts for: what it costs against a row's forward and backward in the
#: same, plain decoder. Measured with SmolLM2-135M on a CPU: 2.5 in bfloat16, 2.9 in float32
#: (`benchmarks/full.py`, the records named `second-order`).
SECOND_ORDER_COST = 2.7
