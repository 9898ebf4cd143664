"""Verifies access tokens, a line each, as test/parts/token-verifier.ts asks."""

import sys

import jwt

jwks_url, issuer, audience, algorithm = sys.argv[1:]
# By default it does not read the keys again within 30 seconds, for a key it does not know.
keys = jwt.PyJWKClient(jwks_url, cooldown_duration=0)

for line in sys.stdin:
    token = line.strip()
    try:
        claims = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        print(claims["sub"], flush=True)
    except jwt.PyJWTError as error:
        print(f"refused: {error!r}", flush=True)
