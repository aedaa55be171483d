// A program that signs in by the token that Kubernetes puts into its file system, and continues
// with the session, in the usual form of openid-client, which does not know the grant of RFC 8693
// by name. The program reads the issuer's URL, the audience and its ServiceAccount's token from
// its standard input, and writes what it saw to its standard output: never a token.
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { verifier } from './api.mjs'

const { issuer, audience, serviceAccountToken } = JSON.parse(readFileSync(0, 'utf8'))
const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const saw = {}

const config = await client.discovery(new URL(issuer), 'till-17', undefined, client.None())
const metadata = config.serverMetadata()
saw.advertised = metadata.grant_types_supported.includes(tokenExchange)
const verify = verifier(metadata, audience)
const refusal = (request) => request.then(
  () => 'granted',
  (error) => (error instanceof client.ResponseBodyError ? `${error.status} ${error.error}` : error.message),
)
const signIn = (subject, wanted) => client.genericGrantRequest(config, tokenExchange, {
  subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', audience: wanted,
})

// The login, and what is refused of it (RFC 8693 §2.2.2).
saw.forged = await refusal(signIn(serviceAccountToken.replace(/[^.]+$/, 'AAAA'), audience))
const login = await signIn(serviceAccountToken, audience)
saw.issuedTokenType = login.issued_token_type
const { payload } = await verify(login.access_token)
saw.subject = payload.sub
const request = new Request(`${audience}/`, { headers: { authorization: `Bearer ${login.access_token}` } })
saw.rfc9068 = (await oauth.validateJwtAccessToken(metadata, request, audience)).sub

// The session: each answer has the token for the next time.
const held = [login.refresh_token]
const ids = [payload.jti]
for (let refreshes = 0; refreshes < 2; refreshes++) {
  const answer = await client.refreshTokenGrant(config, held.at(-1))
  held.push(answer.refresh_token)
  ids.push((await verify(answer.access_token)).payload.jti)
}
saw.refreshTokens = new Set(held.filter((token) => typeof token === 'string')).size
saw.accessTokens = new Set(ids).size

// The end: the program signs itself out.
await client.tokenRevocation(config, held.at(-1))
saw.afterRevocation = await refusal(client.refreshTokenGrant(config, held.at(-1)))

console.log(JSON.stringify(saw))
