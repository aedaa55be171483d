// A web application with openid-client, also with a pushed request. The program reads the issuer's URL, the client and the person from
// its standard input, and writes what it saw to its standard output: never a token.
import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { signIn } from './person.mjs'

const { issuer, id, redirect, audience, person } = JSON.parse(readFileSync(0, 'utf8'))
const saw = {}

const config = await client.discovery(new URL(issuer), id, undefined, client.None())
const web = async (build) => {
  const verifier = client.randomPKCECodeVerifier()
  const expected = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  const url = await build(config, {
    redirect_uri: redirect, scope: 'openid orders:read', resource: audience, state: expected.expectedState, nonce: expected.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })
  const back = await signIn(url, person)
  const tokens = await client.authorizationCodeGrant(config, back, expected)
  const user = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  const next = await client.refreshTokenGrant(config, tokens.refresh_token)
  const again = await client.authorizationCodeGrant(config, back, expected).then(() => 'redeemed', (error) => `${error.status} ${error.error}`)
  const ended = await client.refreshTokenGrant(config, next.refresh_token ?? tokens.refresh_token).then(() => 'exchanged', (error) => `${error.status} ${error.error}`)
  return { subject: tokens.claims().sub, audience: tokens.claims().aud, scope: tokens.scope, user: user.sub, refreshed: typeof next.access_token, again, ended }
}
saw.web = await web(client.buildAuthorizationUrl)
saw.pushed = await web(client.buildAuthorizationUrlWithPAR)

console.log(JSON.stringify(saw))
