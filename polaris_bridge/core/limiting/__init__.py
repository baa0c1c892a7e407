"""Rate limits: counting what many use of one quota, and deciding who may. Time is an argument of every call."""
