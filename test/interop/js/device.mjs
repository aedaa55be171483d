// A device with a key of its own, to which its refresh token is bound, and an API that takes its
// access tokens, in the usual form of these libraries (RFC 9449). The device reads the issuer's
// URL, the audience, the refresh token and the key from its standard input, and writes what it saw
// to its standard output: never a token.
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { calculateJwkThumbprint, createRemoteJWKSet, jwtVerify } from 'jose'

const { issuer, audience, bound, key, algorithm } = JSON.parse(readFileSync(0, 'utf8'))
const saw = {}

const { d, ...publicKey } = key
const { subtle } = globalThis.crypto
const kind = algorithm === 'ES256' ? { name: 'ECDSA', namedCurve: 'P-256' } : algorithm
const keys = {
  privateKey: await subtle.importKey('jwk', key, kind, false, ['sign']),
  publicKey: await subtle.importKey('jwk', publicKey, kind, true, ['verify']),
}
const thumbprint = await calculateJwkThumbprint(publicKey)

// oauth4webapi leaves the second try, with the nonce, to its caller.
const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer)))
saw.algorithmOffered = server.dpop_signing_alg_values_supported.includes(algorithm)
const me = { client_id: 'till-17' }
const refresh = async (options) =>
  oauth.processRefreshTokenResponse(server, me, await oauth.refreshTokenGrantRequest(server, me, oauth.None(), bound, options))
const refusal = (promise) => promise.then(() => 'exchanged', (error) => `${error.status} ${error.error}`)

saw.withoutProof = await refusal(refresh())
const DPoP = oauth.DPoP(me, keys)
saw.needsNonce = await refresh({ DPoP }).then(() => false, oauth.isDPoPNonceError)
const first = await refresh({ DPoP })
saw.tokenType = first.token_type
// The nonce for this one came with the answer before.
await refresh({ DPoP })
const others = await oauth.generateKeyPair('ES256')
const stolen = oauth.DPoP(me, others)
await refresh({ DPoP: stolen }).catch(() => {})
saw.otherKey = await refusal(refresh({ DPoP: stolen }))

// openid-client does all of it by itself.
const config = await client.discovery(new URL(issuer), me.client_id, undefined, client.None())
const second = await client.refreshTokenGrant(config, bound, undefined, { DPoP: client.getDPoPHandle(config, keys) })
saw.byItself = second.token_type

// The API: jose by the published keys; and oauth4webapi, which wants a proof for the very request.
const published = createRemoteJWKSet(new URL(server.jwks_uri))
for (const token of [first.access_token, second.access_token]) {
  const { payload } = await jwtVerify(token, published, { issuer: server.issuer, audience, typ: 'at+jwt' })
  saw.confirmed = payload.cnf.jkt === thumbprint
}
const call = async (options) => {
  let made
  const fetched = (url, init) => { made = new Request(url, init); return new Response() }
  await oauth.protectedResourceRequest(first.access_token, 'GET', new URL('https://orders.example.com/'), undefined, undefined, { ...options, [oauth.customFetch]: fetched })
  return oauth.validateJwtAccessToken(server, made, audience)
}
saw.takenByAPI = (await call({ DPoP })).cnf.jkt === thumbprint
saw.takenFromThief = await call({ DPoP: stolen }).then(() => true, () => false)
saw.takenAsBearer = await call({}).then(() => true, () => false)

console.log(JSON.stringify(saw))
