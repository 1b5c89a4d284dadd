"""The golden model: what an Eigenbar accelerator computes, in NumPy, to the bit."""
