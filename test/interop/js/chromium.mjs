// Chromium for the programs that need a real browser, and what a person does there at the pages of the issuer.
import { createHash, X509Certificate } from 'node:crypto'
import { chromium } from 'playwright-core'

const switches = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
]
// CI computes beside the suite: what usually takes a moment can take a while.
const patience = 40_000

/** Names the public key of a certificate, as Chromium does. */
const keyOf = (certificate) => createHash('sha256').update(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })).digest('base64')

/**
 * Passes a browser to f. It trusts the keys of the certificates, beside the authorities of the system, and resolves no name but those
 * of hosts, which are at a port of this machine.
 */
export async function withBrowser({ certificates, hosts = [], port }, f) {
  const rules = [...hosts.map((host) => `MAP ${host} 127.0.0.1:${port}`), 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1']
  const browser = await chromium.launch({
    executablePath: process.env.INTEROP_CHROMIUM,
    args: [...switches, `--host-resolver-rules=${rules.join(', ')}`, `--ignore-certificate-errors-spki-list=${certificates.map(keyOf).join(',')}`],
  })
  try {
    return await f(browser)
  } finally {
    await browser.close()
  }
}

/** A page of a browser that no person has used, and what its scripts were refused. */
export async function newPage(browser) {
  const context = await browser.newContext({ locale: 'en-GB' })
  context.setDefaultTimeout(patience)
  const page = await context.newPage()
  const refused = []
  page.on('console', (message) => {
    if (/blocked by CORS policy/.test(message.text())) refused.push(message.text())
  })
  return { page, refused }
}

/** Signs in at the login page with a user name and a password. */
export async function signIn(page, { username, password }) {
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/** Answers the question of a page. */
export const answer = (page, name) => page.getByRole('button', { name, exact: true }).click()
