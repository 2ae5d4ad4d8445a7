"""sources: the registries that packages of an image come from.

Each module has
    resolve(work, words)         the artefacts of what a language file asks for, with all they need
    install(work, artefacts)     puts fetched artefacts into the image
`work` is the image that is being built (build.Work).
"""
