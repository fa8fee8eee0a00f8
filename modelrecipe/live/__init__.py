"""The floor of Keras: documents become live models here, and live models documents."""
