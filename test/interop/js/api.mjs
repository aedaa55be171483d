// An API that takes access tokens, written with jose as its guide shows it: by the keys that the
// metadata names, and the checks of RFC 9068.
import { createRemoteJWKSet, jwtVerify } from 'jose'

export const verifier = (metadata, audience) => {
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
  return (token, wanted = audience) =>
    jwtVerify(token, keys, { issuer: metadata.issuer, audience: wanted, typ: 'at+jwt', requiredClaims: ['sub', 'jti', 'iat', 'exp', 'client_id'] })
}
