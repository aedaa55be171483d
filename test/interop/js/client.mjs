// A program that holds a refresh token, and an API that takes its access tokens, in the usual
// form of these libraries. The program reads the issuer's URL, the audience and a superseded
// refresh token from its standard input, and writes what it saw to its standard output: never a
// token.
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { errors } from 'jose'
import { verifier } from './api.mjs'

const { issuer, audience, superseded } = JSON.parse(readFileSync(0, 'utf8'))
const saw = {}

// The client: discovery in both forms, and the refresh grant.
const config = await client.discovery(new URL(issuer), 'till-17', undefined, client.None())
const inserted = await client.discovery(new URL(issuer), 'till-17', undefined, client.None(), { algorithm: 'oauth2' })
const metadata = config.serverMetadata()
saw.sameMetadata = JSON.stringify(metadata) === JSON.stringify(inserted.serverMetadata())

const first = await client.refreshTokenGrant(config, superseded)
saw.rolledOver = typeof first.refresh_token === 'string' && first.refresh_token !== superseded
const current = first.refresh_token
const second = await client.refreshTokenGrant(config, current)
saw.keptCurrent = second.refresh_token === current
saw.tellsTheEnd = second.refresh_token_expires_in > second.expires_in
saw.expiresIn = second.expiresIn()

// The API: jose by the published keys, and the checks of RFC 9068 by oauth4webapi.
const verify = verifier(metadata, audience)
const refusal = (token, wanted) => verify(token, wanted).then(
  () => 'accepted',
  (error) => (error instanceof errors.JOSEError ? error.code : error.message),
)
const { payload, protectedHeader } = await verify(first.access_token)
await verify(second.access_token)
saw.subject = payload.sub
saw.algorithm = protectedHeader.alg
saw.otherAudience = await refusal(second.access_token, 'https://billing.example.com')
saw.refreshTokenAsAccess = await refusal(current)
const request = new Request('https://orders.example.com/', { headers: { authorization: `Bearer ${second.access_token}` } })
saw.rfc9068 = (await oauth.validateJwtAccessToken(metadata, request, audience)).client_id

// The end: the client signs itself out.
await client.tokenRevocation(config, current)
saw.afterRevocation = await client.refreshTokenGrant(config, current).then(
  () => 'exchanged',
  (error) => (error instanceof client.ResponseBodyError ? `${error.status} ${error.error}` : error.message),
)

console.log(JSON.stringify(saw))
