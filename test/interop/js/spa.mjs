// Single-page applications, served from an origin of their own, in Chromium: oidc-client-ts in its build for browsers, and oauth4webapi,
// both with DPoP. A person signs in at the login page; the rest is done by the scripts of the pages, page-*.mjs. The program reads the
// issuer's URL and the person from its standard input, and writes what it saw to its standard output: never a token.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { answer, newPage, signIn, withBrowser } from './chromium.mjs'

const { issuer, id, audience, person, trusted, served, origins } = JSON.parse(readFileSync(0, 'utf8'))
const here = (name) => readFileSync(new URL(name, import.meta.url))
const html = (library) => `<!doctype html><meta charset="utf-8"><title>Page</title>
${library}<button>Sign in</button><output></output><script type="module" src="page.mjs"></script>`
const content = {
  '/oidc-client-ts/': ['text/html', html('<script src="library.js"></script>')],
  '/oidc-client-ts/library.js': ['text/javascript', here('node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js')],
  '/oidc-client-ts/page.mjs': ['text/javascript', here('page-oidc-client-ts.mjs')],
  '/oauth4webapi/': ['text/html', html('')],
  '/oauth4webapi/library.js': ['text/javascript', here('node_modules/oauth4webapi/build/index.js')],
  '/oauth4webapi/page.mjs': ['text/javascript', here('page-oauth4webapi.mjs')],
  '/settings.json': ['application/json', JSON.stringify({ authority: issuer, client_id: id, resource: audience, scope: 'openid orders:read' })],
}

/** Serves the pages. Their policy lets them reach the issuer and nothing else. */
async function serve() {
  const server = createServer({ cert: served.certificate, key: served.key }, ({ url }, response) => {
    const [type, body] = content[url.split('?')[0]] ?? []
    response.writeHead(body ? 200 : 404, {
      'Content-Type': type ?? 'text/plain',
      'Content-Security-Policy': `default-src 'none'; script-src 'self'; connect-src 'self' ${new URL(issuer).origin}; img-src data:`,
    })
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Opens an application, signs in, and returns what its script saw, and the answers of the token endpoint. */
async function use(browser, url) {
  const { page, refused } = await newPage(browser)
  const answers = []
  page.on('response', async (response) => {
    if (response.url() !== `${issuer}/token` || response.request().method() !== 'POST') return
    answers.push(response.ok() ? '200' : response.json().then(({ error }) => `${response.status()} ${error}`))
  })
  await page.goto(url)
  await answer(page, 'Sign in')
  await signIn(page, person)
  await answer(page, 'Allow')
  await page.waitForURL((at) => at.href.startsWith(url))
  const output = page.locator('output:not(:empty)')
  await output.waitFor()
  const saw = JSON.parse(await output.textContent())
  await page.context().close()
  return { ...saw, answers: await Promise.all(answers), refused: refused.length }
}

const server = await serve()
const hosts = Object.values(origins).map((origin) => new URL(origin).hostname)
const saw = await withBrowser({ certificates: [trusted, served.certificate], hosts, port: server.address().port }, async (browser) => ({
  oidcClientTS: await use(browser, `${origins.allowed}/oidc-client-ts/`),
  oauth4webapi: await use(browser, `${origins.allowed}/oauth4webapi/`),
  otherOrigin: await use(browser, `${origins.other}/oidc-client-ts/`),
  otherOAuth: await use(browser, `${origins.other}/oauth4webapi/`),
}))
server.close()
console.log(JSON.stringify(saw))
