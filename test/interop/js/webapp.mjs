// Web applications on express that sign people in: with Auth.js over https, and with passport and the strategy of openid-client at a port of
// this machine. A person uses them in Chromium. The program reads the issuer's URL and the person from its standard input, and writes what it saw to
// its standard output: never a token.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as plain } from 'node:http'
import { createServer as secured } from 'node:https'
import { ExpressAuth, getSession } from '@auth/express'
import express from 'express'
import session from 'express-session'
import * as client from 'openid-client'
import { Strategy } from 'openid-client/passport'
import passport from 'passport'
import { answer, newPage, signIn, withBrowser } from './chromium.mjs'

const { issuer, audience, person, trusted, served, origin, ids } = JSON.parse(readFileSync(0, 'utf8'))
const secret = () => randomBytes(32).toString('base64url')
const greeting = (subject) => `<!doctype html><title>Shop</title><p>${subject ? `Signed in as ${subject}` : 'Signed out'}</p>`

async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

/** The application with Auth.js, which knows the issuer by two clients, and what it was granted. */
function withAuthJS() {
  const granted = new Set()
  const provider = (name, more) => ({
    id: name, name, type: 'oidc', issuer, clientId: ids.authJS, checks: ['pkce', 'state', 'nonce'],
    authorization: { params: { scope: 'openid orders:read', resource: audience } }, ...more,
  })
  const settings = {
    trustHost: true,
    secret: secret(),
    // Without a method, it authenticates with client_secret_basic.
    providers: [provider('public', { client: { token_endpoint_auth_method: 'none' } }), provider('basic', { clientSecret: '' })],
    callbacks: {
      jwt({ token, account, profile }) {
        for (const name of Object.keys(account ?? {})) if (name.endsWith('_token')) granted.add(name)
        return profile ? { ...token, subject: profile.sub } : token
      },
      session: ({ session, token }) => ({ ...session, subject: token.subject }),
    },
  }
  const app = express()
  app.use('/auth', ExpressAuth(settings))
  app.get('/', async (request, response) => response.send(greeting((await getSession(request, settings))?.subject)))
  return { app, granted }
}

/** Makes the application with passport, at a URL. */
async function mountPassport(app, at) {
  const config = await client.discovery(new URL(issuer), ids.passport, undefined, client.None())
  const strategy = { config, callbackURL: `${at}/callback`, scope: 'openid orders:read', resource: audience }
  passport.use('issuer', new Strategy(strategy, (tokens, done) => done(null, tokens.claims().sub)))
  passport.serializeUser((subject, done) => done(null, subject))
  passport.deserializeUser((subject, done) => done(null, subject))
  app.use(session({ secret: secret(), resave: false, saveUninitialized: false }), passport.session())
  app.get('/login', passport.authenticate('issuer'))
  app.get('/callback', passport.authenticate('issuer', { successRedirect: '/' }))
  app.get('/logout', (request, response, next) => request.logout((error) => (error ? next(error) : response.redirect('/'))))
  app.get('/', (request, response) => response.send(greeting(request.user)))
}

/** Signs in from a link of an application, and returns what its page says then, once more after a reload, and after the sign-out. */
async function use(browser, { at, begin, end }) {
  const { page } = await newPage(browser)
  const says = () => page.locator('p').textContent()
  const saw = []
  await page.goto(at)
  saw.push(await says())
  await begin(page)
  await signIn(page, person)
  await answer(page, 'Allow')
  await page.waitForURL(at)
  saw.push(await says())
  await page.reload()
  saw.push(await says())
  await end(page)
  await page.goto(at)
  saw.push(await says())
  await page.context().close()
  return saw
}

const authJS = withAuthJS()
const books = secured({ cert: served.certificate, key: served.key }, authJS.app)
const port = await listen(books)
const app = express()
const desk = plain(app)
const at = `http://127.0.0.1:${await listen(desk)}`
await mountPassport(app, at)

/** Uses the application with Auth.js, with one of its clients. */
const useAuthJS = (browser, name) => use(browser, {
  at: `${origin}/`,
  begin: async (page) => {
    await page.goto(`${origin}/auth/signin`)
    await answer(page, `Sign in with ${name}`)
  },
  end: async (page) => {
    await page.goto(`${origin}/auth/signout`)
    await answer(page, 'Sign out')
    await page.waitForURL(`${origin}/`)
  },
})

const saw = await withBrowser({ certificates: [trusted, served.certificate], hosts: [new URL(origin).hostname], port }, async (browser) => ({
  authJS: await useAuthJS(browser, 'public'),
  authJSWithBasic: await useAuthJS(browser, 'basic'),
  passport: await use(browser, { at: `${at}/`, begin: (page) => page.goto(`${at}/login`), end: (page) => page.goto(`${at}/logout`) }),
}))
books.close()
desk.close()
console.log(JSON.stringify({ ...saw, granted: [...authJS.granted].sort() }))
