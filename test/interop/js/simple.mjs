// A program that keeps itself signed in with simple-oauth2, as its guide shows it: an answer replaces the
// tokens before, so an answer without a refresh token loses it. The program reads the token endpoint and a refresh
// token from its standard input, and writes what it saw to its standard output: never a token.
import { readFileSync } from 'node:fs'
import { AuthorizationCode } from 'simple-oauth2'

const { endpoint, held } = JSON.parse(readFileSync(0, 'utf8'))
const url = new URL(endpoint)
const client = new AuthorizationCode({
  client: { id: 'till-17', secret: '' },
  auth: { tokenHost: url.origin, tokenPath: url.pathname },
})

let token = client.createToken({ access_token: 'none yet', refresh_token: held, expires_in: 1 })
const accessTokens = new Set()
const refreshTokens = new Set([held])
const ends = []
for (let i = 0; i < 3; i++) {
  token = await token.refresh()
  accessTokens.add(token.token.access_token)
  refreshTokens.add(token.token.refresh_token)
  ends.push(Number.isInteger(token.token.refresh_token_expires_in) && token.token.refresh_token_expires_in > 0)
}
console.log(JSON.stringify({ accessTokens: accessTokens.size, refreshTokens: refreshTokens.size, ends: ends.every(Boolean) }))
