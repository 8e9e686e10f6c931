"""Real servers on 127.0.0.1, begun and ended by the tests that use them."""
