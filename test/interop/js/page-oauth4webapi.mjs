// The script of a single-page application with oauth4webapi and a DPoP key that no script can read. The page shows what it saw, and no
// token.
import * as oauth from './library.js'

const { authority, client_id, resource, scope } = await (await fetch('/settings.json')).json()
const issuer = new URL(authority)
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
const client = { client_id }
const none = oauth.None()
const redirectURI = location.origin + location.pathname

/** Leaves for the login page. The tab keeps what the return is checked with. */
async function leave() {
  const kept = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
  sessionStorage.setItem('kept', JSON.stringify(kept))
  const at = new URL(server.authorization_endpoint)
  const challenge = await oauth.calculatePKCECodeChallenge(kept.verifier)
  at.search = new URLSearchParams({
    client_id, redirect_uri: redirectURI, response_type: 'code', scope, resource, state: kept.state, nonce: kept.nonce, code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  location.assign(at)
}

/** Repeats a request once, with the nonce of the service, which the library leaves to its caller. */
const again = (request) => request().catch((error) => {
  if (!oauth.isDPoPNonceError(error)) throw error
  return request()
})

/** Lets the page do all that such an application does. */
async function story() {
  const { verifier, state, nonce } = JSON.parse(sessionStorage.getItem('kept'))
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const answer = oauth.validateAuthResponse(server, client, new URL(location), state)
  const tokens = await again(async () => oauth.processAuthorizationCodeResponse(
    server, client, await oauth.authorizationCodeGrantRequest(server, client, none, answer, redirectURI, verifier, { DPoP }),
    { expectedNonce: nonce, requireIdToken: true },
  ))
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  const info = await again(async () => oauth.processUserInfoResponse(
    server, client, claims.sub, await oauth.userInfoRequest(server, client, tokens.access_token, { DPoP }),
  ))
  const asBearer = await fetch(server.userinfo_endpoint, { headers: { Authorization: `Bearer ${tokens.access_token}` } })
  const refresh = (held) => again(async () => oauth.processRefreshTokenResponse(
    server, client, await oauth.refreshTokenGrantRequest(server, client, none, held, { DPoP }),
  ))
  const held = [tokens.refresh_token]
  for (let refreshes = 0; refreshes < 2; refreshes++) held.push((await refresh(held.at(-1))).refresh_token)
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, none, held.at(-1)))
  const ended = await refresh(held.at(-1)).then(() => 'refreshed', ({ error }) => error)
  return {
    type: tokens.token_type, subject: claims.sub, audience: claims.aud, scope: tokens.scope, user: info.sub, asBearer: asBearer.status,
    refreshTokens: new Set(held).size, ended,
  }
}

document.querySelector('button').addEventListener('click', leave)
if (new URLSearchParams(location.search).has('state')) {
  document.querySelector('output').textContent = JSON.stringify(await story().catch((error) => ({ failed: error.message })))
}
