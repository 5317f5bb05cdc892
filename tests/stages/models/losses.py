"""The paper's losses; training weighs their terms one by one, so that workers add up."""


def prior_loss(terms, text_weight=1 / 8):
    """Weigh the mean nats of each kind of token, 1/8 and 7/8 in the paper (section 2.2)."""
    text, image = terms.text / terms.text_tokens, terms.image / terms.image_tokens
    return text_weight * text + (1 - text_weight) * image


def elbo_loss(terms, beta):
    """Divide by the number of pixel values, as appendix A.2 does: the KL weighs beta / 192."""
    return (terms.reconstruction + beta * terms.kl) / terms.values
