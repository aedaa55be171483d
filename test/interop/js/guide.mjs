// The single-page application of docs/how-to/single-page-application.md in Chromium. The program reads its files, the issuer's URL and the
// person from its standard input, and writes what it saw to its standard output: never a token.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { answer, newPage, signIn, withBrowser } from './chromium.mjs'

const { page: example, issuer, person, trusted, served, origin, files } = JSON.parse(readFileSync(0, 'utf8'))
const library = (name) => readFileSync(new URL(`node_modules/${name}`, import.meta.url), 'utf8')
// What a bundler does: it finds the libraries by their names.
const bundled = (script) => script.replaceAll(/from ?(['"])(oidc-client-ts|jwt-decode)\1/g, 'from "/$2.js"')
const content = {
  ...files,
  '/board.js': bundled(files['/board.js'].replaceAll(example, issuer)),
  '/oidc-client-ts.js': bundled(library('oidc-client-ts/dist/esm/oidc-client-ts.js')),
  '/jwt-decode.js': library('jwt-decode/build/esm/index.js'),
}

/** Serves the files, with the policy that the page recommends. */
async function serve() {
  const server = createServer({ cert: served.certificate, key: served.key }, (request, response) => {
    const path = request.url.split('?')[0]
    if (path === '/call') {
      response.end(request.headers.dpop ? request.headers.authorization.split(' ')[0] : 'no proof')
      return
    }
    response.writeHead(content[path] ? 200 : 404, {
      'Content-Type': path.endsWith('.js') ? 'text/javascript' : 'text/html',
      'Content-Security-Policy': `default-src 'none'; script-src 'self'; connect-src 'self' ${new URL(issuer).origin}; img-src data:`,
    })
    response.end(content[path])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const server = await serve()
const port = server.address().port
const saw = await withBrowser({ certificates: [trusted, served.certificate], hosts: [new URL(origin).hostname], port }, async (browser) => {
  const { page } = await newPage(browser)
  const says = async (text) => {
    const who = page.locator('#who', { hasText: text })
    await who.waitFor()
    return who.textContent()
  }
  await page.goto(`${origin}/`)
  const first = await says(/^Not signed in/)
  await answer(page, 'Sign in')
  await signIn(page, person)
  await answer(page, 'Allow')
  const signedIn = await says(/^Signed in/)
  const address = page.url().slice(origin.length)
  await page.reload()
  const again = await says(/^Signed in/)
  // The function of the page that calls the API.
  const authorization = await page.evaluate(async () => (await (await import('/board.js')).call(`${location.origin}/call`)).text())
  // The access token has ended, and the first request for the next one fails: the page tries again.
  const stored = `oidc.user:${issuer}:board`
  await page.evaluate((name) => {
    const user = JSON.parse(sessionStorage.getItem(name))
    sessionStorage.setItem(name, JSON.stringify({ ...user, access_token: 'ended', expires_at: 1 }))
  }, stored)
  await page.route(`${issuer}/token`, (route) => route.abort(), { times: 1 })
  const failed = page.waitForEvent('requestfailed')
  await page.reload()
  await failed
  const away = await says(/^Not signed in/)
  const back = await says(/^Signed in/)
  const renewed = await page.evaluate((name) => JSON.parse(sessionStorage.getItem(name)).access_token !== 'ended', stored)
  await answer(page, 'Sign out')
  return { first, signedIn, address, again, authorization, away, back, renewed, signedOut: await says(/^Not signed in/) }
})
server.close()
console.log(JSON.stringify(saw))
