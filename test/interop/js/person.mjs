// A person with a browser: signs in at the login page, allows the access, and returns where the browser goes then.
const text = (page, pattern) => {
  const [, found] = pattern.exec(page) ?? []
  if (found === undefined) throw new Error(`the page has no form: ${page.slice(0, 300)}`)
  return found.replaceAll('&amp;', '&').replaceAll('&#43;', '+')
}

/** Opens the URL of an authorization request. */
export async function signIn(url, { username, password }) {
  const cookies = new Map()
  const send = async (to, form) => {
    const answer = await fetch(to, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      redirect: 'manual',
      headers: { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), ...(form && { 'Sec-Fetch-Site': 'same-origin' }) },
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split('=')
      cookies.set(name, value)
    }
    return answer
  }
  const submit = (page, form) => send(text(page, /<form method="post" action="([^"]+)"/), { step: text(page, /name="step" value="([^"]+)"/), ...form })
  const login = await (await send(url)).text()
  const consent = await (await submit(login, { username, password })).text()
  const back = await submit(consent, { answer: 'allow' })
  return new URL(back.headers.get('Location'))
}
