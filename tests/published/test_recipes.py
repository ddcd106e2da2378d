"""Recipes: their configs have the networks of their rows."""

import pytest

from vitjax import config_file, models
from vitjax.published import rebuild
from vitjax.published.recipes import recipes


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.config)
def test_a_recipe_has_the_count_and_the_data_of_its_row(recipe):
    config, own = config_file.load_config(recipe.config), config_file.load_config(recipe.row.config)
    assert config.data.name == own.data.name
    image_shape, num_classes = rebuild.DATA[config.data.name]
    model = models.create(config.model_name, num_classes, **config.model)
    count = models.num_params(models.abstract_params(model, image_shape))
    assert count == rebuild.build(recipe.row).params


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.config)
def test_a_recipe_does_not_choose_on_test(recipe):
    assert config_file.load_config(recipe.config).data.valid_fraction > 0
