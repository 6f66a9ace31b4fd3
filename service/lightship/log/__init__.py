"""HTTP faces of the verifiable logs of collections and of the signed chain of agreements."""
