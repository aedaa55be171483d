// People who sign in at a provider, from the login page, in Chromium: for an application of this machine, and for devices, both with
// openid-client. One provider is down, and the other one refuses a person, who then finds another way. The program reads the issuer's URL,
// the providers and the people from its standard input, and writes what it saw to its standard output: never a token.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import * as client from 'openid-client'
import { answer, newPage, signIn, withBrowser } from './chromium.mjs'

const { issuer, audience, trusted, ids, providers, people } = JSON.parse(readFileSync(0, 'utf8'))
const application = await client.discovery(new URL(issuer), ids.application, undefined, client.None())
const device = await client.discovery(new URL(issuer), ids.device, undefined, client.None())
const refusal = (error) => (error instanceof client.ResponseBodyError ? `${error.status} ${error.error}` : error.message)
const summary = (tokens) => ({ subject: tokens.claims().sub, scope: tokens.scope })

/** Signs in at the page of the provider. */
async function signInThere(page, { username, password }) {
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Login' }).click()
}

/** What the login page says after a provider failed, and which ways it offers. */
async function failure(page) {
  const alert = await page.getByRole('alert').textContent()
  const buttons = await page.getByRole('button').allTextContents()
  return { alert, buttons }
}

/** An application that listens at a free port for the browser's return, as RFC 8252 §7.3 says. */
async function listen() {
  let returned
  const back = new Promise((resolve) => (returned = resolve))
  const server = createServer(({ url }, response) => {
    response.end('<!doctype html><title>Done</title>')
    if (url.startsWith('/callback')) returned(url)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const redirect = `http://127.0.0.1:${server.address().port}/callback`
  return { redirect, returned: async () => new URL(await back, redirect), close: () => server.close() }
}

/** Signs a person in to the application, after the ways that fail. */
async function useApplication(browser) {
  const own = await listen()
  const verifier = client.randomPKCECodeVerifier()
  const expected = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  const { page } = await newPage(browser)
  await page.goto(client.buildAuthorizationUrl(application, {
    redirect_uri: own.redirect, scope: 'openid orders:read', resource: audience, state: expected.expectedState, nonce: expected.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  }).href)
  await answer(page, providers.down)
  const down = await failure(page)
  await answer(page, providers.up)
  await signInThere(page, people.denied)
  const denied = await failure(page)
  await answer(page, providers.up)
  await signInThere(page, people.allowed)
  await answer(page, 'Allow')
  const tokens = await client.authorizationCodeGrant(application, await own.returned(), expected)
  const user = await client.fetchUserInfo(application, tokens.access_token, tokens.claims().sub)
  own.close()
  await page.context().close()
  return { down, denied, signedIn: { ...summary(tokens), user: user.sub } }
}

/** A device that has begun, and what its polls end with. */
async function begin() {
  const shown = await client.initiateDeviceAuthorization(device, {})
  return { shown, ended: client.pollDeviceAuthorizationGrant(device, shown).then(summary, refusal) }
}

/** A person who opens the page of a device, tries both providers, enters the code if it is not in the link, and decides. */
async function decide(browser, link, code, decision) {
  const { page } = await newPage(browser)
  await page.goto(link)
  await answer(page, providers.down)
  const { alert } = await failure(page)
  await answer(page, providers.up)
  await signInThere(page, people.allowed)
  const field = page.getByLabel('Code')
  const proposed = await field.inputValue()
  if (!proposed) await field.fill(code)
  await answer(page, 'Continue')
  await page.waitForURL(`${issuer}/device/code`)
  const [, address] = await page.locator('dd').allTextContents()
  const asked = await page.getByRole('heading').textContent()
  await answer(page, decision)
  await page.waitForURL(`${issuer}/device/decision`)
  const end = await page.getByRole('heading').textContent()
  await page.context().close()
  return { alert, proposed: proposed === code, asked, address, end }
}

const saw = await withBrowser({ certificates: [trusted] }, async (browser) => {
  const [allowed, denied] = await Promise.all([begin(), begin()])
  const here = await useApplication(browser)
  const person = await decide(browser, allowed.shown.verification_uri, allowed.shown.user_code.toLowerCase().replaceAll('-', ' '), 'Allow')
  const other = await decide(browser, denied.shown.verification_uri_complete, denied.shown.user_code, 'Deny')
  return { ...here, device: { ...person, ended: await allowed.ended }, deniedDevice: { ...other, ended: await denied.ended } }
})
console.log(JSON.stringify(saw))
