// The script of a single-page application with oidc-client-ts, which keeps its DPoP key in IndexedDB, where no script can read it. The
// key is bound to the authorization code already (RFC 9449 §10). The page shows what it saw, and no token.
const { oidc } = window
const settings = await (await fetch('/settings.json')).json()
const manager = new oidc.UserManager({
  ...settings,
  redirect_uri: location.origin + location.pathname,
  automaticSilentRenew: false,
  dpop: { bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore() },
})

/** Asks /userinfo with a proof, and once more with the nonce of the service. */
async function userInfo(user) {
  const url = await manager.metadataService.getUserInfoEndpoint()
  const ask = async (nonce) =>
    fetch(url, { headers: { Authorization: `${user.token_type} ${user.access_token}`, DPoP: await manager.dpopProof(url, user, 'GET', nonce) } })
  const first = await ask()
  const second = first.status === 401 ? await ask(first.headers.get('DPoP-Nonce')) : first
  const asBearer = await fetch(url, { headers: { Authorization: `Bearer ${user.access_token}` } })
  return { user: (await second.json()).sub, asBearer: asBearer.status }
}

/** Lets the page do all that such an application does. */
async function story() {
  const user = await manager.signinRedirectCallback()
  const info = await userInfo(user)
  const next = await manager.signinSilent()
  const third = await manager.signinSilent()
  await manager.revokeTokens(['refresh_token'])
  // The library has dropped the token: it is put back to see that it ended.
  await manager.storeUser(third)
  const ended = await manager.signinSilent().then(() => 'refreshed', ({ error }) => error)
  const refreshTokens = new Set([user, next, third].map(({ refresh_token }) => refresh_token)).size
  return { type: user.token_type, subject: user.profile.sub, audience: user.profile.aud, scope: user.scope, ...info, refreshTokens, ended }
}

document.querySelector('button').addEventListener('click', () => manager.signinRedirect())
if (new URLSearchParams(location.search).has('state')) {
  document.querySelector('output').textContent = JSON.stringify(await story().catch((error) => ({ failed: error.message })))
}
