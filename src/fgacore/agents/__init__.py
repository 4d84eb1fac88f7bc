"""Authority that is lent: delegations, sessions, scopes, boundaries, and the claims of a token that a session can be made from."""
