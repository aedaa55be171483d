// Applications that people sign in to: openid-client as a web application, also with a pushed request, and oauth4webapi as a
// single-page application with DPoP. The program reads the issuer's URL, the client and the person from its standard input, and
// writes what it saw to its standard output: never a token.
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { signIn } from './person.mjs'

const { issuer, id, redirect, audience, person } = JSON.parse(readFileSync(0, 'utf8'))
const saw = {}

// openid-client.
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

// oauth4webapi with DPoP.
const url = new URL(issuer)
const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url))
const page = { client_id: id }
const none = oauth.None()
const DPoP = oauth.DPoP(page, await oauth.generateKeyPair('ES256'))
const verifier = oauth.generateRandomCodeVerifier()
const state = oauth.generateRandomState()
const at = new URL(server.authorization_endpoint)
const parameters = { client_id: id, redirect_uri: redirect, response_type: 'code', scope: 'openid', state, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' }
for (const [name, value] of Object.entries(parameters)) at.searchParams.set(name, value)
const answer = oauth.validateAuthResponse(server, page, await signIn(at, person), state)
const granted = async (request) => {
  try {
    return await oauth.processAuthorizationCodeResponse(server, page, await request(), { requireIdToken: true })
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return oauth.processAuthorizationCodeResponse(server, page, await request(), { requireIdToken: true })
  }
}
const tokens = await granted(() => oauth.authorizationCodeGrantRequest(server, page, none, answer, redirect, verifier, { DPoP }))
const claims = oauth.getValidatedIdTokenClaims(tokens)
const user = await oauth.processUserInfoResponse(server, page, claims.sub, await oauth.userInfoRequest(server, page, tokens.access_token, { DPoP }))
saw.page = { type: tokens.token_type, subject: claims.sub, user: user.sub }

console.log(JSON.stringify(saw))
